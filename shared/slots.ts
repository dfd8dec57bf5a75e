/** The servers of an app's upstream in nginx, each leading to an instance. So an app has at most as many instances. */
export const slotCount = 60;
