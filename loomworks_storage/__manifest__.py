{
    "name": "Loomworks Storage",
    "summary": "A volume for each tenant, in the size of its plan",
    "version": "19.0.1.0.0",
    "category": "Administration",
    "author": "Loomworks",
    "website": "https://github.com/loomworks/loomworks",
    "license": "LGPL-3",
    "depends": ["loomworks_tenant"],
    "data": ["views/tenant_views.xml"],
}
