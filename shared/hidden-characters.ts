/**
 * Control characters of both sets, and what cannot be seen, turns the direction of writing around or breaks a line: two texts
 * that differ only in these look alike, and a name can seem to end otherwise than it does.
 */
export const hidden = /[\p{Cc}\p{Default_Ignorable_Code_Point}\u2028\u2029\ufff9-\ufffb]/gu;
