from . import (
    activation,
    ir_attachment,
    ir_cron,
    ir_http,
    ir_mail_server,
    ir_model,
    ir_sequence,
    operation_log,
    operation_undo,
    res_groups,
    res_users,
    rights,
)
