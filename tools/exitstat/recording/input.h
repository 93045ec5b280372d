/* SPDX-License-Identifier: GPL-2.0 */
/* The lines of a recording's file. */
#ifndef RECORDING_INPUT_H
#define RECORDING_INPUT_H

#include "recording/read.h"

/* Open a file, or stdin if @path is "-".  STATUS_OK or after a message. */
int recording_open(struct recording *recording, const char *path);
/* Read the next line of the file that was opened. */
enum recording_event recording_next(struct recording *recording);

#endif
