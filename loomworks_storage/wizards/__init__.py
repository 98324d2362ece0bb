from . import tenant_end
