/* SPDX-License-Identifier: Apache-2.0 */
/* show.h - makes the images of one choice, and puts them back. */
#ifndef CRASH_SHOW_H
#define CRASH_SHOW_H

#include "choose.h"

/* A choice made visible: model->files[i].live with their size, and the names. */
struct shown {
	struct names names;
	struct hash128 hash; /* of everything a program could see */
	uint32_t *name_ops;  /* scratch */
	size_t name_room;
};

void show(struct model *m, struct window *w, struct shown *s);
void unshow(struct model *m);
void shown_done(struct shown *s);

/* A directory that is made to look like what is shown; only what differs is written. */
struct image;

struct image *image_new(const char *dir);
void image_free(struct image *image);
int image_write(struct image *image, const struct model *m, const struct shown *s); /* 0 or -errno */

#endif
