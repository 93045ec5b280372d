/* SPDX-License-Identifier: GPL-2.0 */
/* Who a VM is: its process, and what an operator calls it. */
#ifndef SOURCE_VMNAME_H
#define SOURCE_VMNAME_H

#include <stdbool.h>
#include <stdint.h>

#include "model/scope.h"

/*
 * Fill in @vm's @pid, @id[1], @name and @vmid.  The number before the '-' of @vm->vm
 * is that of the thread that made the VM at @made, ns of CLOCK_REALTIME, or 0 if that
 * is not known.  Nothing is known of what @procfs does not have, as it is that of a
 * container, or as the thread has ended and its number went to another.  False if it has
 * ended, as far as @procfs can tell.
 */
bool vm_identify(struct exit_scope *vm, const char *procfs, uint64_t made);

#endif
