import { Component } from "@odoo/owl";
import { _t } from "@web/core/l10n/translation";
import { registry } from "@web/core/registry";
import { formatInteger } from "@web/views/fields/formatters";
import { standardFieldProps } from "@web/views/fields/standard_field_props";

const UNITS = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]; // as in loomworks_tenant/kube/quantity.py

/** Write bytes for people, to three digits, in Kubernetes' notation. */
export function readable(bytes) {
    let worth = bytes;
    let unit = 0;
    while (worth >= 1024 && unit < UNITS.length - 1) {
        worth /= 1024;
        unit++;
    }
    const digits = worth >= 100 || !unit ? 0 : worth >= 10 ? 1 : 2;
    return `${Number(worth.toFixed(digits))}${UNITS[unit]}`;
}

/** A number of bytes as people read it; the exact number when they point at it. */
export class QuantityField extends Component {
    static template = "loomworks_tenant.QuantityField";
    static props = { ...standardFieldProps };

    get bytes() {
        return this.props.record.data[this.props.name] || 0;
    }

    get text() {
        return readable(this.bytes);
    }

    get title() {
        return _t("%s bytes", formatInteger(this.bytes));
    }
}

registry.category("fields").add("loomworks_quantity", {
    component: QuantityField,
    displayName: _t("Bytes"),
    supportedTypes: ["integer", "float"],
});
