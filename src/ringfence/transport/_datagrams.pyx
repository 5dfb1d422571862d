# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Datagrams of one socket, several for one system call. Linux; elsewhere ``datagrams`` does the same in Python.

What one read brings is answered by one call too: what is sent meanwhile is held until ``release``. So whoever it is for
is woken once, which costs more than all else that the kernel does for a datagram.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdlib cimport calloc, free
from libc.string cimport memset

cdef extern from "<sys/socket.h>" nogil:
    struct sockaddr:
        pass
    struct iovec:
        void *iov_base
        size_t iov_len
    struct msghdr:
        void *msg_name
        unsigned int msg_namelen
        iovec *msg_iov
        size_t msg_iovlen
    struct mmsghdr:
        msghdr msg_hdr
        unsigned int msg_len
    int recvmmsg(int, mmsghdr *, unsigned int, int, void *)
    int sendmmsg(int, mmsghdr *, unsigned int, int)
    ssize_t sendto(int, const void *, size_t, int, const sockaddr *, unsigned int)
    int MSG_DONTWAIT

cdef enum:
    MOST = 32  # datagrams of one call
    SIZE = 65536  # no datagram is longer
    NAME = 28  # octets of a sockaddr_in6


cdef bint BEGINS[256]
"""By the first octet, whether a datagram can be SIP."""


def prepare(first_octets):
    """Take over what a message can begin with; called once."""
    for octet in range(256):
        BEGINS[octet] = octet in first_octets


cdef class NativeDatagrams:
    """See ``Datagrams`` in ``datagrams``. An address is the kernel's own, as octets."""

    cdef int fd
    cdef bint held
    cdef object failed
    cdef list waiting
    cdef char *room
    cdef mmsghdr *headers
    cdef iovec *places
    cdef char *names

    def __cinit__(self, int fd, failed):
        self.fd = fd
        self.failed = failed
        self.waiting = []
        self.room = <char *> calloc(MOST, SIZE)
        self.names = <char *> calloc(MOST, NAME)
        self.places = <iovec *> calloc(MOST, sizeof(iovec))
        self.headers = <mmsghdr *> calloc(MOST, sizeof(mmsghdr))
        if not self.room or not self.names or not self.places or not self.headers:
            raise MemoryError

    def __dealloc__(self):
        free(self.room)
        free(self.names)
        free(self.places)
        free(self.headers)

    def receive(self):
        """What is there, up to 32 of (datagram, address). Raises OSError."""
        cdef int i, count
        cdef mmsghdr *header
        for i in range(MOST):
            self.places[i].iov_base = self.room + i * SIZE
            self.places[i].iov_len = SIZE
            header = &self.headers[i]
            memset(header, 0, sizeof(mmsghdr))
            header.msg_hdr.msg_name = self.names + i * NAME
            header.msg_hdr.msg_namelen = NAME
            header.msg_hdr.msg_iov = &self.places[i]
            header.msg_hdr.msg_iovlen = 1
        count = recvmmsg(self.fd, self.headers, MOST, MSG_DONTWAIT, NULL)
        if count < 0:
            if errno == EAGAIN or errno == EINTR:
                return []
            raise _error(errno)
        return [
            (
                PyBytes_FromStringAndSize(self.room + i * SIZE, self.headers[i].msg_len),
                PyBytes_FromStringAndSize(self.names + i * NAME, self.headers[i].msg_hdr.msg_namelen),
            )
            for i in range(count)
        ]

    def send(self, bytes data, bytes address):
        """Send one datagram at once. Raises OSError."""
        cdef ssize_t sent = sendto(
            self.fd, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), MSG_DONTWAIT,
            <const sockaddr *> PyBytes_AS_STRING(address), <unsigned int> PyBytes_GET_SIZE(address),
        )
        if sent < 0:
            raise _error(errno)

    def post(self, bytes data, bytes address):
        """Send one datagram, now or with others; ``failed`` is told when it can't be."""
        if self.held:
            self.waiting.append((data, address))
            return
        try:
            self.send(data, address)
        except OSError as error:
            self.failed(data, address, error)

    def way(self, bytes address):
        """A function that posts to one address."""
        cdef Way way = Way.__new__(Way)
        way.socket = self
        way.address = address
        return way.post

    def hand_up(self, list found, dict flows, met, received, odd):
        """Tell what was received; see ``PlainDatagrams``."""
        cdef bytes data, address
        cdef object flow
        for data, address in found:
            flow = flows.get(address)
            if flow is None:
                flow = met(address)
            if PyBytes_GET_SIZE(data) and BEGINS[<unsigned char> PyBytes_AS_STRING(data)[0]]:
                received(data, flow)
            else:
                odd(data, flow)

    def hold(self):
        """Keep what is posted until ``release``."""
        self.held = True

    def release(self):
        """Send what was kept."""
        cdef list waiting = self.waiting
        cdef Py_ssize_t start = 0, total = len(waiting)
        cdef int i, count, sent, why
        cdef bytes data, address
        cdef mmsghdr *header
        self.held = False
        if not total:
            return
        self.waiting = []
        while start < total:
            count = <int> min(total - start, MOST)
            for i in range(count):
                data, address = <tuple> waiting[start + i]
                self.places[i].iov_base = PyBytes_AS_STRING(data)
                self.places[i].iov_len = PyBytes_GET_SIZE(data)
                header = &self.headers[i]
                memset(header, 0, sizeof(mmsghdr))
                header.msg_hdr.msg_name = PyBytes_AS_STRING(address)
                header.msg_hdr.msg_namelen = <unsigned int> PyBytes_GET_SIZE(address)
                header.msg_hdr.msg_iov = &self.places[i]
                header.msg_hdr.msg_iovlen = 1
            sent = sendmmsg(self.fd, self.headers, count, MSG_DONTWAIT)
            if sent > 0:
                start += sent
                continue
            why = errno
            if why == EINTR:
                continue
            data, address = <tuple> waiting[start]
            start += 1  # the first of them could not be sent; the others are tried again
            self.failed(data, address, _error(why))


cdef class Way:
    """Posts to one address."""

    cdef NativeDatagrams socket
    cdef bytes address

    def post(self, bytes data):
        if self.socket.held:
            self.socket.waiting.append((data, self.address))
        else:
            self.socket.post(data, self.address)


cdef object _error(int number):
    import os

    return OSError(number, os.strerror(number))
