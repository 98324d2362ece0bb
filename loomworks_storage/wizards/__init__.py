from . import tenant_end, volume_resize
