/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_TRACEPOINT_DEFS_H
#define SHIM_TRACEPOINT_DEFS_H

struct trace_print_flags;

#endif
