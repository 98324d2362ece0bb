from . import import_batch, orphan_clean, tenant_end, tenant_reset, volume_resize
