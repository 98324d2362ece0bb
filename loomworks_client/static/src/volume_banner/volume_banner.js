import { Component, onWillUnmount, useState } from "@odoo/owl";
import { browser } from "@web/core/browser/browser";
import { rpc } from "@web/core/network/rpc";
import { registry } from "@web/core/registry";
import { session } from "@web/session";

const LOOK = 60_000; // milliseconds

/** Says that files cannot be kept, or soon cannot, for as long as that is so. */
export class VolumeBanner extends Component {
    static template = "loomworks_client.VolumeBanner";
    static props = {};

    setup() {
        this.volume = useState({ state: session.loomworks_volume || "fine" });
        const timer = browser.setInterval(() => this.look(), LOOK);
        onWillUnmount(() => browser.clearInterval(timer));
    }

    async look() {
        if (this.volume.state !== "fine") {
            this.volume.state = await rpc("/loomworks/volume", {}, { silent: true });
        }
    }
}

registry.category("main_components").add("loomworks_client.VolumeBanner", { Component: VolumeBanner });
