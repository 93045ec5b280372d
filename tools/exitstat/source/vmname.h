/* SPDX-License-Identifier: GPL-2.0 */
/* What an operator calls a VM, from the command line of its VMM. */
#ifndef SOURCE_VMNAME_H
#define SOURCE_VMNAME_H

#include <stdint.h>

/*
 * What an operator calls the VM of process @pid: QEMU's -name, another VMM's
 * --id, or the process's command.  Into VM_NAME_SIZE bytes.
 */
void vm_name(const char *procfs, const char *pid, char *name);
/* When the process began, in clock ticks after boot, or 0. */
uint64_t vm_start_time(const char *procfs, const char *pid);

#endif
