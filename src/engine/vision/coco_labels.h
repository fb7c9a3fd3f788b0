/* The 80 classes of COCO by their ids 1..90 (gaps are ids that the data set never used). */
#ifndef MR_ENGINE_VISION_COCO_LABELS_H
#define MR_ENGINE_VISION_COCO_LABELS_H

#define MR_COCO_IDS 91 /* with 0, the background */

/* NULL for a gap and for 0. */
extern const char *const mr_coco_label[MR_COCO_IDS];

#endif
