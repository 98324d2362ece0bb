{
    "name": "Loomworks AI",
    "summary": "What an AI agent did in Odoo, taken back exactly",
    "version": "19.0.1.0.0",
    "category": "Administration",
    "author": "Loomworks",
    "website": "https://github.com/loomworks/loomworks",
    "license": "LGPL-3",
    "depends": ["base"],
}
