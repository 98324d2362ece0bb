{
    "name": "Loomworks Client",
    "summary": "A hosted tenant's side of Loomworks: limits, the control plane's service user, the first login",
    "version": "19.0.1.0.0",
    "category": "Hidden",
    "author": "Loomworks",
    "website": "https://github.com/loomworks/loomworks",
    "license": "LGPL-3",
    "depends": ["base", "web"],
    "data": [
        "security/service_user.xml",
        "views/first_login_templates.xml",
    ],
    "assets": {"web.assets_backend": ["loomworks_client/static/src/**/*"]},
}
