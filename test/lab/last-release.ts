import type { LabHost } from "./lab-host.ts";

/** Makes an installation one of the last release: the helper's socket is in the agent's directory, the agent in nginx's group. */
export async function asLastRelease(host: LabHost): Promise<void> {
  const units = "/usr/lib/systemd/system";
  const script = `set -e
    systemctl stop cutover-agent.service cutover-helper.socket
    sed -i 's#/run/cutover-helper.sock#/run/cutover/helper.sock#g' /usr/lib/cutover/*.mjs ${units}/cutover-helper.socket
    sed -i 's#^RuntimeDirectory=.*#SupplementaryGroups=www-data#; s#^ReadWritePaths=.*#& /run/cutover#' ${units}/cutover-agent.service
    systemctl daemon-reload
    systemctl start cutover-helper.socket cutover-agent.service
    test -S /run/cutover/helper.sock`;
  await host.check("sh", "-c", script);
}
