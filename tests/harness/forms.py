"""Odoo's forms in a browser."""


def smart_button(page, name: str) -> None:
    """Click one of the buttons above a form; Odoo puts those that have no room under "More"."""
    button = page.locator(f"button[name={name}]")
    more = page.locator(".o-form-buttonbox .o_button_more")
    button.or_(more).first.wait_for()
    if not button.count():
        more.click()
    button.click()
