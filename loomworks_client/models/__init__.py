from . import (
    client,
    ir_attachment,
    ir_config_parameter,
    ir_http,
    ir_module_module,
    res_groups,
    res_users,
    res_users_apikeys,
)
