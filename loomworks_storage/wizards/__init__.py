from . import orphan_clean, tenant_end, tenant_reset, volume_resize
