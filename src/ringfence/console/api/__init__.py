"""The same as the pages, as JSON for programs: ``/api/v1``, described by ``/api/v1/openapi.json``."""
