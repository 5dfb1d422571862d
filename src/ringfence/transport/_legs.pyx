# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Media ports, moved by one thread that needs nothing of Python (``legs.py`` is the slow twin, and tells what is done).

The thread waits in epoll, reads what has come to a port, judges it, and sends it out of the peer's port: two system
calls for a packet and under a microsecond of ours. It never takes the interpreter's lock, so media do not wait for
signalling, nor signalling for media. What both sides touch is guarded by one mutex, which the thread holds for a burst
of at most ``MAX_BURST`` packets and Python for an assignment.

A leg that is closed is unlinked under the mutex before its memory can go; the thread finds legs by their place in a
table, with a number that says whether it is still the one that epoll has told of.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcmp, memcpy, memset

from threading import Thread

from ringfence.transport.legs import MAX_BURST as _MAX_BURST
from ringfence.transport.legs import MAX_PACKET as _MAX_PACKET
from ringfence.transport.legs import MAX_PACKETS, QUIET_SWEEPS

VERSION = 1
"""Of what relay.py relies on: a compiled module that is older than its source is left alone."""

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_mutex_t:
        pass
    int pthread_mutex_init(pthread_mutex_t *, void *)
    int pthread_mutex_lock(pthread_mutex_t *)
    int pthread_mutex_unlock(pthread_mutex_t *)

cdef extern from "<netinet/in.h>" nogil:
    ctypedef unsigned int socklen_t
    struct sockaddr:
        pass
    struct in_addr:
        uint32_t s_addr
    struct in6_addr:
        uint8_t s6_addr[16]
    struct sockaddr_in:
        uint16_t sin_family
        uint16_t sin_port
        in_addr sin_addr
    struct sockaddr_in6:
        uint16_t sin6_family
        uint16_t sin6_port
        uint32_t sin6_flowinfo
        in6_addr sin6_addr
        uint32_t sin6_scope_id
    int AF_INET
    int AF_INET6
    uint16_t htons(uint16_t)
    uint16_t ntohs(uint16_t)

cdef extern from "<arpa/inet.h>" nogil:
    int inet_pton(int, const char *, void *)
    const char *inet_ntop(int, const void *, char *, socklen_t)

cdef extern from "<sys/socket.h>" nogil:
    ssize_t recvfrom(int, void *, size_t, int, sockaddr *, socklen_t *)
    ssize_t sendto(int, const void *, size_t, int, const sockaddr *, socklen_t)
    int MSG_DONTWAIT

cdef extern from "<sys/epoll.h>" nogil:
    ctypedef union epoll_data_t:
        uint64_t u64
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_create1(int)
    int epoll_ctl(int, int, int, epoll_event *)
    int epoll_wait(int, epoll_event *, int, int)
    int EPOLL_CTL_ADD
    int EPOLL_CTL_DEL
    int EPOLLIN

cdef enum:
    HOSTS = 8          # an address for RTP, one for RTCP, where messages come from; some more cost nothing
    EVENTS = 64        # of one epoll_wait
    CNAME = 256

cdef enum:
    ANY = 0
    MEDIA = 1
    HIDDEN = 2
    CLEAR = 3

cdef int MAX_PACKET = _MAX_PACKET
cdef int BURST = _MAX_BURST
cdef int QUIET = QUIET_SWEEPS

ctypedef struct place_t:          # an address and a port, IPv4 in the first four octets
    uint8_t host[16]
    uint16_t port                 # network order
    uint32_t scope
    int known

ctypedef struct leg_t:
    int fd
    int family
    int peer                      # place in the table, -1 for none
    uint32_t number               # of the leg that has this place now
    uint8_t hosts[HOSTS][16]
    int nhosts
    place_t target
    place_t source
    long budget
    int screen
    int quiet
    uint8_t cname[CNAME]
    int cname_length
    uint64_t packets
    uint64_t octets
    uint64_t dropped

cdef pthread_mutex_t mutex
cdef leg_t *table = NULL
cdef int table_size = 0
cdef list unused = []
cdef int poll = -1
cdef uint32_t numbers = 0
cdef object thread = None

pthread_mutex_init(&mutex, NULL)


# ---- RTCP without names: see rtcp.py, which this follows line by line ----

cdef int without_names(const uint8_t *data, int size, const uint8_t *cname, int length, uint8_t *out, int room) noexcept nogil:
    """Write the packet without names to ``out``; gives its size, or -1 when it is malformed or too long."""
    cdef int at = 0, end = 0, packet, kind, count, known, item, place, sources, chunk
    cdef int written
    while at < size:
        if at + 4 > size or data[at] >> 6 != 2 or data[at] & 0x20:
            return -1
        packet = 4 + 4 * ((data[at + 2] << 8) | data[at + 3])
        if at + packet > size:
            return -1
        kind = data[at + 1]
        count = data[at] & 0x1F
        if kind == 200 or kind == 201:
            known = (28 if kind == 200 else 8) + 24 * count
            if packet < known or end + known > room:
                return -1
            memcpy(out + end, data + at, known)
            out[end + 2] = (known // 4 - 1) >> 8
            out[end + 3] = (known // 4 - 1) & 0xFF
            end += known
        elif kind == 205 or kind == 206 or kind == 207:
            if end + packet > room:
                return -1
            memcpy(out + end, data + at, packet)
            end += packet
        elif kind == 202:
            chunk = 4 + 2 + length
            chunk += 4 - chunk % 4
            if end + 4 + count * chunk > room:
                return -1
            out[end] = 0x80 | count
            out[end + 1] = 202
            out[end + 2] = (count * chunk // 4) >> 8
            out[end + 3] = (count * chunk // 4) & 0xFF
            end += 4
            place = 4
            for sources in range(count):
                if place + 8 > packet:
                    return -1
                memset(out + end, 0, chunk)
                memcpy(out + end, data + at + place, 4)
                out[end + 4] = 1
                out[end + 5] = length
                memcpy(out + end + 6, cname, length)
                end += chunk
                place += 4
                while place < packet and data[at + place]:
                    if place + 2 > packet:
                        return -1
                    place += 2 + data[at + place + 1]
                place += 4 - place % 4
                if place > packet:
                    return -1
        elif kind == 203:
            known = 4 + 4 * count
            if packet < known or end + known > room:
                return -1
            memcpy(out + end, data + at, known)
            out[end] = 0x80 | count
            out[end + 2] = 0
            out[end + 3] = count
            end += known
        at += packet
    return end if end else -1


def rewritten(bytes data, bytes cname):
    """What becomes of a packet of a CLEAR leg; None when it is dropped. For the tests that compare the twins."""
    cdef uint8_t *room = <uint8_t *> calloc(1, MAX_PACKET)
    cdef int size = without_names(data, <int> len(data), cname, <int> len(cname), room, MAX_PACKET)
    try:
        return None if size < 0 else room[:size]
    finally:
        free(room)


# ---- one packet ----

cdef inline bint first_octet_fits(int screen, uint8_t octet) noexcept nogil:
    """RFC 7983 section 7: STUN 0-3, ZRTP 16-19, DTLS 20-63, RTP and RTCP 128-191."""
    if screen == ANY or 128 <= octet <= 191 or 20 <= octet <= 63:
        return True
    return screen == MEDIA and (octet <= 3 or 16 <= octet <= 19)


cdef inline bint same(const place_t *one, const place_t *other) noexcept nogil:
    return one.known and one.port == other.port and memcmp(one.host, other.host, 16) == 0


cdef bint may_latch(leg_t *leg, const place_t *where) noexcept nogil:
    cdef int each
    for each in range(leg.nhosts):
        if memcmp(leg.hosts[each], where.host, 16) == 0:
            break
    else:
        return False
    if leg.source.known and leg.quiet < QUIET and not same(&leg.target, where):
        return False
    leg.source = where[0]
    leg.quiet = 0
    return True


cdef void send_out(leg_t *leg, const uint8_t *data, int size) noexcept nogil:
    cdef const place_t *to = &leg.source if leg.source.known else &leg.target
    cdef sockaddr_in four
    cdef sockaddr_in6 six
    cdef ssize_t done
    if not to.known or leg.fd < 0:
        return
    if leg.family == AF_INET:
        memset(&four, 0, sizeof(four))
        four.sin_family = AF_INET
        four.sin_port = to.port
        memcpy(&four.sin_addr, to.host, 4)
        done = sendto(leg.fd, data, size, MSG_DONTWAIT, <sockaddr *> &four, sizeof(four))
    else:
        memset(&six, 0, sizeof(six))
        six.sin6_family = AF_INET6
        six.sin6_port = to.port
        memcpy(&six.sin6_addr, to.host, 16)
        six.sin6_scope_id = to.scope
        done = sendto(leg.fd, data, size, MSG_DONTWAIT, <sockaddr *> &six, sizeof(six))
    if done < 0:
        leg.dropped += 1


cdef void take(leg_t *leg, const uint8_t *data, int size, const place_t *where, uint8_t *room) noexcept nogil:
    leg.budget -= 1
    if (
        leg.budget < 0
        or size <= 0
        or size > MAX_PACKET
        or not first_octet_fits(leg.screen, data[0])
        or (not same(&leg.source, where) and not may_latch(leg, where))
    ):
        leg.dropped += 1
        return
    if leg.screen == CLEAR and size >= 8 and data[0] >> 6 == 2 and 192 <= data[1] <= 223:
        size = without_names(data, size, leg.cname, leg.cname_length, room, MAX_PACKET)
        if size < 0:
            leg.dropped += 1
            return
        data = room
    leg.packets += 1
    leg.octets += size
    if leg.peer >= 0:
        send_out(&table[leg.peer], data, size)


cdef void readable(leg_t *leg, uint8_t *data, uint8_t *room) noexcept nogil:
    cdef sockaddr_in6 address
    cdef socklen_t length
    cdef place_t where
    cdef ssize_t size
    cdef int count
    for count in range(BURST):
        length = sizeof(address)
        size = recvfrom(leg.fd, data, MAX_PACKET + 1, MSG_DONTWAIT, <sockaddr *> &address, &length)
        if size < 0:
            return
        memset(&where, 0, sizeof(where))
        where.known = 1
        if leg.family == AF_INET:
            where.port = (<sockaddr_in *> &address).sin_port
            memcpy(where.host, &(<sockaddr_in *> &address).sin_addr, 4)
        else:
            where.port = address.sin6_port
            where.scope = address.sin6_scope_id
            memcpy(where.host, &address.sin6_addr, 16)
        take(leg, data, <int> size, &where, room)


cdef void turn(uint8_t *data, uint8_t *room) noexcept nogil:
    """The thread: for ever."""
    cdef epoll_event events[EVENTS]
    cdef int count, each, place
    while True:
        count = epoll_wait(poll, events, EVENTS, -1)
        for each in range(count):
            place = <int> <uint32_t> events[each].data.u64
            pthread_mutex_lock(&mutex)
            if place < table_size and table[place].fd >= 0 and table[place].number == events[each].data.u64 >> 32:
                readable(&table[place], data, room)
            pthread_mutex_unlock(&mutex)


def _run():
    cdef uint8_t *data = <uint8_t *> calloc(2, MAX_PACKET + 64)
    if data == NULL:
        raise MemoryError
    with nogil:
        turn(data, data + MAX_PACKET + 64)


cdef int _start() except -1:
    global poll, thread
    if thread is None:
        poll = epoll_create1(0o2000000)
        if poll < 0:
            raise OSError("epoll_create1 failed")
        thread = Thread(target=_run, name="media", daemon=True)
        thread.start()
    return 0


# ---- what Python sees ----

cdef int read_place(int family, object address, place_t *place) except -1:
    memset(place, 0, sizeof(place_t))
    if address is None:
        return 0
    host, port = address
    text = host.partition("%")[0].encode("ascii")
    if inet_pton(family, text, place.host) != 1:
        return 0  # of the other IP version: nothing can be sent there from here
    place.port = htons(port)
    place.known = 1
    return 0


cdef class Leg:
    cdef int place
    cdef object udp
    cdef object told
    cdef long limit
    cdef uint64_t seen
    cdef leg_t last               # what it was when it was closed

    def __init__(self, udp, long limit=MAX_PACKETS):
        cdef epoll_event event
        cdef leg_t *leg
        global table, table_size, numbers
        self.place = -1
        _start()
        self.udp = udp
        self.limit = limit
        if not unused:
            self._grow()
        numbers += 1
        place = unused.pop()
        pthread_mutex_lock(&mutex)
        leg = &table[place]
        memset(leg, 0, sizeof(leg_t))
        leg.fd = udp.fileno()
        leg.family = udp.family
        leg.peer = -1
        leg.number = numbers
        leg.budget = limit
        leg.screen = MEDIA
        pthread_mutex_unlock(&mutex)
        self.place = place
        event.events = EPOLLIN
        event.data.u64 = (<uint64_t> numbers << 32) | <uint64_t> place
        if epoll_ctl(poll, EPOLL_CTL_ADD, udp.fileno(), &event) < 0:
            self.close()
            raise OSError("epoll_ctl failed")

    cdef int _grow(self) except -1:
        global table, table_size
        cdef int size = table_size * 2 if table_size else 256
        cdef int each
        cdef leg_t *fresh
        with nogil:
            pthread_mutex_lock(&mutex)
            fresh = <leg_t *> realloc(table, size * sizeof(leg_t))
            if fresh != NULL:
                table = fresh
                for each in range(table_size, size):
                    memset(&table[each], 0, sizeof(leg_t))
                    table[each].fd = -1
            pthread_mutex_unlock(&mutex)
        if fresh == NULL:
            raise MemoryError
        unused.extend(range(size - 1, table_size - 1, -1))
        table_size = size
        return 0

    def join(self, Leg peer):
        with nogil:
            pthread_mutex_lock(&mutex)
            if self.place >= 0:
                table[self.place].peer = peer.place
            pthread_mutex_unlock(&mutex)

    def expect(self, target, hosts):
        cdef place_t place
        cdef uint8_t known[HOSTS][16]
        cdef int count = 0
        if self.place < 0 or (target, hosts) == self.told:
            return
        self.told = (target, hosts)
        family = self.udp.family
        read_place(family, target, &place)
        memset(known, 0, sizeof(known))
        for host in sorted(hosts, key=lambda each: target is None or each != target[0])[:HOSTS]:
            if inet_pton(family, host.partition("%")[0].encode("ascii"), known[count]) == 1:
                count += 1
        with nogil:
            pthread_mutex_lock(&mutex)
            table[self.place].target = place
            memset(&table[self.place].source, 0, sizeof(place_t))
            memcpy(table[self.place].hosts, known, sizeof(known))
            table[self.place].nhosts = count
            pthread_mutex_unlock(&mutex)

    def screen(self, int screen, bytes cname=b""):
        cdef const uint8_t *text = cname
        cdef int length = min(len(cname), CNAME - 1)
        with nogil:
            pthread_mutex_lock(&mutex)
            if self.place >= 0:
                table[self.place].screen = screen
                memcpy(table[self.place].cname, text, length)
                table[self.place].cname_length = length
            pthread_mutex_unlock(&mutex)

    cdef leg_t _now(self) noexcept nogil:
        cdef leg_t copy
        pthread_mutex_lock(&mutex)
        copy = table[self.place] if self.place >= 0 else self.last
        pthread_mutex_unlock(&mutex)
        return copy

    @property
    def packets(self):
        return self._now().packets

    @property
    def octets(self):
        return self._now().octets

    @property
    def dropped(self):
        return self._now().dropped

    @property
    def source(self):
        cdef leg_t leg = self._now()
        cdef char text[64]
        if not leg.source.known:
            return None
        inet_ntop(leg.family, leg.source.host, text, sizeof(text))
        return text.decode("ascii"), ntohs(leg.source.port)

    def sweep(self):
        cdef uint64_t packets
        cdef bint heard
        if self.place < 0:
            return False
        with nogil:
            pthread_mutex_lock(&mutex)
            table[self.place].budget = self.limit
            packets = table[self.place].packets
            heard = packets != self.seen
            table[self.place].quiet = 0 if heard else table[self.place].quiet + 1
            pthread_mutex_unlock(&mutex)
        self.seen = packets
        return heard

    def close(self):
        cdef int place = self.place
        cdef int each
        if place < 0:
            return
        epoll_ctl(poll, EPOLL_CTL_DEL, self.udp.fileno(), NULL)
        with nogil:
            pthread_mutex_lock(&mutex)
            self.last = table[place]
            table[place].fd = -1
            each = self.last.peer
            if each >= 0 and table[each].peer == place:
                table[each].peer = -1
            pthread_mutex_unlock(&mutex)
        self.place = -1
        self.udp.close()
        unused.append(place)

    def __dealloc__(self):
        if self.place >= 0 and table != NULL:
            pthread_mutex_lock(&mutex)
            table[self.place].fd = -1
            pthread_mutex_unlock(&mutex)
