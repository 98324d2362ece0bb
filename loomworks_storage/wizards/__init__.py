from . import orphan_clean, tenant_end, volume_resize
