/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Recordings: a line of JSON for each moment at which the counters were read
 *
 * See exitstat-recording(5).  A file has a section for each run of 'exitstat
 * record' that appended to it: a header, samples, and if it ended in order an
 * end.
 */
#ifndef RECORDING_FORMAT_H
#define RECORDING_FORMAT_H

#define RECORDING_SCHEMA "exitstat.recording"
#define RECORDING_VERSION 1

/* Nothing longer is written, and readers skip what is. */
#define RECORDING_MAX_LINE (16 << 20)

#endif
