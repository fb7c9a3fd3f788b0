/* Which ImageNet-1k classes and COCO objects speak for which setting. The weight is how far the
 * class or object, if it were certain, would make the setting certain (0..1): a palace is nearly
 * always historic architecture, a cup is only often part of a meal. */
#ifndef MR_ENGINE_VISION_SCENE_GROUPS_H
#define MR_ENGINE_VISION_SCENE_GROUPS_H

#include <stdbool.h>
#include <stddef.h>

enum mr_setting {
    MR_SETTING_NONE,
    MR_SETTING_STREET,
    MR_SETTING_HISTORIC,
    MR_SETTING_STRUCTURE,
    MR_SETTING_COAST,
    MR_SETTING_LAKE,
    MR_SETTING_MOUNTAIN,
    MR_SETTING_COUNTRYSIDE,
    MR_SETTING_WILD,
    MR_SETTING_GARDEN,
    MR_SETTING_SNOW,
    MR_SETTING_HARBOUR,
    MR_SETTING_AIRFIELD,
    MR_SETTING_RAILWAY,
    MR_SETTING_SPORTS,
    MR_SETTING_DINING,
    MR_SETTING_KITCHEN,
    MR_SETTING_BATHROOM,
    MR_SETTING_BEDROOM,
    MR_SETTING_LIVING,
    MR_SETTING_OFFICE,
    MR_SETTING_SHOP,
    MR_SETTING_LIBRARY,
    MR_SETTING_STAGE,
    MR_SETTINGS
};

extern const char *const mr_setting_name[MR_SETTINGS]; /* "unknown", "urban_street", … */
/* Under the open sky. */
bool mr_setting_outdoors(enum mr_setting s);

struct mr_setting_sign {
    short id;
    unsigned char setting;
    unsigned char percent; /* the weight */
};
extern const struct mr_setting_sign mr_setting_class[]; /* ascending ImageNet ids */
extern const size_t mr_setting_n_class;
extern const struct mr_setting_sign mr_setting_object[]; /* ascending COCO ids */
extern const size_t mr_setting_n_object;

#endif
