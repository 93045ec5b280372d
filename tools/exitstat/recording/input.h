/* SPDX-License-Identifier: GPL-2.0 */
/* The lines of a recording's file. */
#ifndef RECORDING_INPUT_H
#define RECORDING_INPUT_H

#include "base/input.h"
#include "recording/read.h"

/* Open a file, or stdin if @path is "-".  STATUS_OK or after a message. */
int recording_open(struct recording *recording, const char *path);
/* The same of what is open already, which @recording takes. */
int recording_begin(struct recording *recording, struct input *input);
/* Is what was opened a recording, as far as its beginning tells? */
bool recording_is_one(struct input *input);
/* Read the next line of the file that was opened. */
enum recording_event recording_next(struct recording *recording);

#endif
