/** The categories of predicted speeds. Pure. */

export const SEVERE = "severe_congestion";
export const CATEGORIES = ["free_flow", "moderate_traffic", "heavy_traffic", SEVERE];
export const NOT_CURRENT = "not_current";
/** The groups of the chips: the categories of fresh predictions, and one group for all others. */
export const GROUPS = [...CATEGORIES, NOT_CURRENT];
