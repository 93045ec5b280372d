/* SPDX-License-Identifier: GPL-2.0 */
/* The VMs that KVM has directories for, with exit accounting or without. */
#ifndef SOURCE_VMLIST_H
#define SOURCE_VMLIST_H

#include "model/scan.h"
#include "source/source.h"

/*
 * Add them to @vms, without what they count.  False and errno if debugfs cannot be
 * read, or if memory runs out.
 */
bool vmlist_read(const struct source_setup *setup, struct exit_scan *vms);

#endif
