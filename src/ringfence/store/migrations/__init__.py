"""Alembic's directory: `env` runs the files of `versions`, which `ringfence.store.migrate` starts.

A change of the schema is one new file in `versions`, whose `down_revision` is the newest before it, and the
same change in `schema`. A test holds the two equal. A file that has been released is never changed.
There is no way down: whoever goes back to an older version restores the backup made with it.
"""
