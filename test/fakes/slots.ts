/** As if each run had one instance in its traffic. @param slots `RUN:COUNT`, with spaces between. @returns slots by address */
export function assignedSlots(slots: string): Map<string, number> {
  const shares = slots.split(" ").flatMap((text) => /^(.+):(\d+)$/.exec(text) ?? []);
  const at = shares.flatMap((_, index) => (index % 3 === 0 ? [index] : []));
  return new Map(at.map((first) => [`unix:${shares[first + 1]}/web-0.sock`, Number(shares[first + 2])]));
}
