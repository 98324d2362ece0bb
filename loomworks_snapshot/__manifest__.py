{
    "name": "Loomworks Snapshot",
    "summary": "Snapshots that do not lie, and one tenant restored to any moment",
    "version": "19.0.1.0.0",
    "category": "Administration",
    "author": "Loomworks",
    "website": "https://github.com/loomworks/loomworks",
    "license": "LGPL-3",
    "depends": ["loomworks_tenant", "loomworks_storage", "loomworks_ai"],
    "data": [
        "security/ir.model.access.csv",
        "data/activity_types.xml",
        "data/crons.xml",
        "views/base_backup_views.xml",
        "views/database_server_views.xml",
        "views/menus.xml",
    ],
}
