// SPDX-License-Identifier: GPL-2.0
#include "source/bpf.h"
#include "source/cpuid.h"
#include "source/debugfs.h"
#include "source/list.h"
#include "source/sysfs.h"

const struct source_ops *const sources[] = {
	&debugfs_source, &sysfs_source, &bpf_source, &cpuid_source, NULL,
};
