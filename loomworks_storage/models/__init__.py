from . import tenant
