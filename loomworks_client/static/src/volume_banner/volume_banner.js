import { Component, onWillUnmount, useExternalListener, useState } from "@odoo/owl";
import { browser } from "@web/core/browser/browser";
import { rpc, rpcBus } from "@web/core/network/rpc";
import { registry } from "@web/core/registry";
import { useBus } from "@web/core/utils/hooks";
import { session } from "@web/session";

const LOOK = 60_000; // milliseconds

/**
 * Says that files cannot be kept, or soon cannot, for as long as that is so. It asks once a minute while somebody may
 * see the page, when they come back to it, and as soon as the server has refused something.
 */
export class VolumeBanner extends Component {
    static template = "loomworks_client.VolumeBanner";
    static props = {};

    setup() {
        this.volume = useState({ state: session.loomworks_volume || "fine" });
        const timer = browser.setInterval(() => this.look(), LOOK);
        onWillUnmount(() => browser.clearInterval(timer));
        useExternalListener(document, "visibilitychange", () => this.look());
        useBus(rpcBus, "RPC:RESPONSE", ({ detail }) => {
            if (detail.error?.exceptionName && !detail.settings.silent) {
                this.look();
            }
        });
    }

    async look() {
        if (!document.hidden) {
            const unknown = () => this.volume.state; // a server that is away says nothing of the volume
            this.volume.state = await rpc("/loomworks/volume", {}, { silent: true }).catch(unknown);
        }
    }
}

registry.category("main_components").add("loomworks_client.VolumeBanner", { Component: VolumeBanner });
