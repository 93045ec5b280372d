// SPDX-License-Identifier: GPL-2.0
#include <ctype.h>
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/array.h"
#include "base/file.h"
#include "base/message.h"
#include "base/text.h"
#include "doctor/facts.h"
#include "doctor/inhibits.h"
#include "source/kvmhost.h"
#include "source/list.h"

#define MAX_FILE 65536

static void add(struct fact_list *list, const char *group, const char *name,
		const char *value, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

static void add(struct fact_list *list, const char *group, const char *name,
		const char *value, const char *fmt, ...)
{
	struct fact *fact = &list->facts[list->nr];
	char text[FACT_TEXT_SIZE];
	va_list args;

	if (list->nr == MAX_FACTS || !*value)
		return;
	list->nr++;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	fact->group = group;
	text_printable(fact->name, sizeof(fact->name), name, strlen(name));
	text_printable(fact->value, sizeof(fact->value), value, strlen(value));
	text_printable(fact->text, sizeof(fact->text), text, strlen(text));
}

/* The first line of @dir/@file, without blanks at its ends; or "". */
static void read_line(char *line, size_t size, const char *dir,
		      const char *file)
{
	char path[PATH_MAX + NAME_MAX], *text, *begin;
	size_t len;

	*line = '\0';
	snprintf(path, sizeof(path), "%s/%s", dir, file);
	text = read_file(path, MAX_FILE, &len);
	if (!text)
		return;
	begin = text + strspn(text, " \t");
	len = strcspn(begin, "\n");
	while (len && isspace((unsigned char)begin[len - 1]))
		len--;
	snprintf(line, size, "%.*s", (int)(len < size ? len : size - 1), begin);
	free(text);
}

/* Open it and read the host.  STATUS_OK, or a status and @why. */
static int try_source(const struct source_ops *ops,
		      const struct source_setup *setup, bool *off, char *why,
		      size_t size)
{
	const struct exit_selection sel = { .host = true, .vcpu = -1 };
	struct source source = {};
	struct exit_scan scan = {};
	int status;

	*why = '\0';
	capture_messages(why, size);
	status = source_open(&source, setup, ops->name, SOURCE_HOST);
	if (!status)
		status = source_read(&source, &sel, &scan);
	capture_messages(NULL, 0);
	*off = scan.nr_scopes && !scan.scopes[0].snap.enabled;
	scan_free(&scan);
	source_close(&source);
	return status;
}

static void read_sources(struct fact_list *list,
			 const struct source_setup *setup)
{
	char why[FACT_TEXT_SIZE];
	size_t i;

	list->status = STATUS_UNSUPPORTED;
	for (i = 0; sources[i]; i++) {
		const struct source_ops *ops = sources[i];
		const bool since_load = ops->abilities & SOURCE_SINCE_LOAD;
		bool off;
		int status;

		/* From inside a VM it counts that one's own. */
		if (ops->abilities & SOURCE_FROM_INSIDE)
			continue;
		status = try_source(ops, setup, &off, why, sizeof(why));
		if (!status && off)
			add(list, "sources", ops->name, "off",
			    "echo 1 > /sys/module/kvm/parameters/exit_stats");
		else if (!status)
			add(list, "sources", ops->name, "yes", "%s",
			    since_load ? "KVM counts exits itself" :
					 "counts when it is asked to");
		else
			add(list, "sources", ops->name, "no", "%s", why);

		if (!status) {
			list->can_count = true;
			if (since_load && !list->counted_by)
				list->counted_by = ops->name;
		} else if (status == STATUS_ERROR) {
			/* Not that it could not be done: this user may not. */
			list->status = STATUS_ERROR;
			strcpy(list->why, why);
		} else if (list->status != STATUS_ERROR) {
			strcpy(list->why, why);
		}
	}
	if (list->can_count)
		list->status = STATUS_OK;
}

static void read_kernel(struct fact_list *list,
			const struct source_setup *setup)
{
	static const char *const modes[] = { "none", "integrity",
					     "confidentiality" };
	const bool btf = kernel_has_btf(setup->sysfs, NULL);
	struct utsname uts;
	size_t i;

	if (user_is_admin())
		add(list, "kernel", "user", "yes", "has CAP_SYS_ADMIN");
	else
		add(list, "kernel", "user", "no",
		    "lacks CAP_SYS_ADMIN: eBPF needs it, debugfs needs root");
	if (!uname(&uts))
		add(list, "kernel", "release", uts.release, "%s", uts.version);
	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		if (kernel_is_locked_down(setup->sysfs, modes[i]))
			add(list, "kernel", "lockdown", modes[i], "%s",
			    i > 1 ? "debugfs is closed, and so is eBPF before Linux 6.2" :
				    "");
	}
	add(list, "kernel", "btf", btf ? "yes" : "no", "%s",
	    btf ? "" : "no CONFIG_DEBUG_INFO_BTF, so no eBPF");
}

/* The build ID in a module's notes, as 'readelf -n' and 'file' show it. */
static void read_build_id(char *id, size_t size, const char *dir)
{
	/* name's and description's sizes, the type, "GNU"; elf(5) */
	static const char head[] = "\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU";
	char path[PATH_MAX + NAME_MAX];
	size_t len, i;
	char *note;

	*id = '\0';
	snprintf(path, sizeof(path), "%s/notes/.note.gnu.build-id", dir);
	note = read_file(path, MAX_FILE, &len);
	if (note && len >= sizeof(head) + 20 &&
	    !memcmp(note, head, sizeof(head))) {
		for (i = 0; i < 20 && 2 * i + 2 < size; i++)
			sprintf(id + 2 * i, "%02x",
				(unsigned char)note[sizeof(head) + i]);
	}
	free(note);
}

static void read_module(struct fact_list *list, const char *sysfs,
			const char *name)
{
	char dir[PATH_MAX], version[64], taint[32], id[48], text[160] = "";

	snprintf(dir, sizeof(dir), "%s/module/%s", sysfs, name);
	if (!is_dir(dir)) {
		add(list, "kvm", name, "no", "not loaded");
		return;
	}
	if (kvm_module_is_built_in(sysfs, name)) {
		add(list, "kvm", name, "yes", "built into the kernel");
		return;
	}
	read_line(version, sizeof(version), dir, "version");
	read_line(taint, sizeof(taint), dir, "taint");
	read_build_id(id, sizeof(id), dir);
	if (*version)
		snprintf(text, sizeof(text), "version %s", version);
	if (strchr(taint, 'O'))
		text_append(text, sizeof(text), ", ",
			    "not of the kernel's own build");
	if (strchr(taint, 'E'))
		text_append(text, sizeof(text), ", ", "unsigned");
	text_append(text, sizeof(text), ", ",
		    kernel_has_btf(sysfs, name) ? "has BTF" : "no BTF");
	if (*id) {
		text_append(text, sizeof(text), ", ", "build ID ");
		text_append(text, sizeof(text), "", id);
	}
	add(list, "kvm", name, "yes", "%s", text);
}

/* Parameters that decide which exits there are, and what they take. */
static const struct {
	const char *name;
	const char *meaning;
} parameters[] = {
	{ "enable_apicv", "interrupts without exits (APICv)" },
	{ "avic", "interrupts without exits (AVIC)" },
	{ "enable_ipiv", "IPIs without exits" },
	{ "enable_device_posted_irqs", "devices' interrupts without exits" },
	{ "vnmi", "NMIs without exits" },
	{ "ept", "nested paging" },
	{ "npt", "nested paging" },
	{ "unrestricted_guest", "real mode without emulation" },
	{ "flexpriority", "the task priority without exits" },
	{ "preemption_timer", "the guest's timers by VMX's own" },
	{ "pml", "dirty pages without exits" },
	{ "ple_gap", "exits of loops of PAUSE, 0 is none" },
	{ "pause_filter_count", "exits of loops of PAUSE, 0 is none" },
	{ "vgif", "nested guests' GIF without exits" },
	{ "vls", "nested guests' VMLOAD without exits" },
	{ "nested", "guests may have guests" },
	{ "halt_poll_ns", "how long KVM polls at most when a vCPU halts" },
	{ "lapic_timer_advance", "timers expire early, and KVM waits" },
	{ "lapic_timer_advance_ns", "timers expire early, and KVM waits" },
	{ "nx_huge_pages", "if Y, code in huge pages costs EPT violations" },
};

static void read_parameters(struct fact_list *list, const char *sysfs,
			    const char *module)
{
	char dir[PATH_MAX], value[64];
	size_t i;

	snprintf(dir, sizeof(dir), "%s/module/%s/parameters", sysfs, module);
	for (i = 0; i < ARRAY_SIZE(parameters); i++) {
		read_line(value, sizeof(value), dir, parameters[i].name);
		add(list, "parameters", parameters[i].name, value, "%s",
		    parameters[i].meaning);
	}
}

static void read_inhibits(struct fact_list *list)
{
	struct apicv_inhibits inhibits;
	char nr[32];

	if (!user_is_admin() || !apicv_inhibits_read(&inhibits))
		return;
	snprintf(nr, sizeof(nr), "%zu", inhibits.nr_inhibited);
	add(list, "parameters", "apicv_inhibited_vms", nr, "of %zu%s%s",
	    inhibits.nr_vms, *inhibits.text ? ": " : "", inhibits.text);
}

static void read_kvm(struct fact_list *list, const char *sysfs)
{
	const struct kvm_vendor *vendor = kvm_vendor_find(sysfs);

	read_module(list, sysfs, "kvm");
	if (vendor) {
		read_module(list, sysfs, vendor->module);
		read_parameters(list, sysfs, vendor->module);
	} else {
		add(list, "kvm", "vendor", "no",
		    "neither kvm_intel nor kvm_amd is loaded");
	}
	read_parameters(list, sysfs, "kvm");
	if (vendor)
		read_inhibits(list);
}

/* Those that do something at an exit or an entry, as bugs.c and vmx.c say. */
static void read_mitigations(struct fact_list *list, const char *sysfs)
{
	static const char *const names[] = {
		"itlb_multihit",   "l1tf",     "mds",
		"mmio_stale_data", "retbleed", "spec_rstack_overflow",
		"spectre_v2",	   "tsa",      "vmscape",
	};
	static const char healthy[] = "Not affected";
	char dir[PATH_MAX], text[FACT_TEXT_SIZE], *rest;
	size_t i;

	snprintf(dir, sizeof(dir), "%s/devices/system/cpu/vulnerabilities",
		 sysfs);
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		read_line(text, sizeof(text), dir, names[i]);
		if (!strcmp(text, healthy))
			continue;
		/* "Mitigation: PTE Inversion; VMX: conditional cache flushes" */
		rest = text + strcspn(text, ":;");
		if (*rest) {
			*rest++ = '\0';
			rest += strspn(rest, " ");
		}
		add(list, "mitigations", names[i], text, "%s", rest);
	}
}

/* The first line of /proc/cpuinfo that has @key, behind its colon. */
static const char *cpu_line(const char *cpuinfo, const char *key)
{
	const char *at = cpuinfo, *colon;
	const size_t len = strlen(key);

	while (at && *at) {
		colon = strchr(at, ':');
		if (!strncmp(at, key, len) && colon &&
		    strspn(at + len, " \t") == (size_t)(colon - at) - len)
			return colon + 1 + strspn(colon + 1, " ");
		at = strchr(at, '\n');
		at += !!at;
	}
	return "";
}

static bool has_flag(const char *flags, const char *flag)
{
	const size_t len = strlen(flag), end = strcspn(flags, "\n");
	const char *at = flags;

	while ((at = strstr(at, flag)) && at < flags + end) {
		if ((at == flags || at[-1] == ' ') && strchr(" \n", at[len]))
			return true;
		at += len;
	}
	return false;
}

static void read_machine(struct fact_list *list,
			 const struct source_setup *setup)
{
	char path[PATH_MAX], name[FACT_VALUE_SIZE], product[FACT_VALUE_SIZE];
	const long nr_cpus = sysconf(_SC_NPROCESSORS_ONLN);
	const char *model, *flags;
	char *cpuinfo;
	size_t len;

	snprintf(path, sizeof(path), "%s/cpuinfo", setup->procfs);
	cpuinfo = read_file(path, 1 << 24, &len);
	if (cpuinfo) {
		model = cpu_line(cpuinfo, "model name");
		flags = cpu_line(cpuinfo, "flags");
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(model, "\n"),
			 model);
		add(list, "machine", "cpu", name, "%ld CPU%s%s", nr_cpus,
		    nr_cpus == 1 ? "" : "s",
		    has_flag(flags, "hypervisor") ?
			    ", in a virtual machine: times are those of nesting or emulation" :
			    "");
	}
	snprintf(path, sizeof(path), "%s/class/dmi/id", setup->sysfs);
	read_line(name, sizeof(name), path, "sys_vendor");
	read_line(product, sizeof(product), path, "product_name");
	text_append(name, sizeof(name), " ", product);
	add(list, "machine", "model", name, "%s", "");

	snprintf(path, sizeof(path),
		 "%s/devices/system/clocksource/clocksource0", setup->sysfs);
	read_line(name, sizeof(name), path, "current_clocksource");
	if (cpuinfo) {
		flags = cpu_line(cpuinfo, "flags");
		add(list, "machine", "clock", name, "%s",
		    strcmp(name, "tsc") ?
			    "reading it is slow, and eBPF reads it at each exit and entry" :
		    has_flag(flags, "nonstop_tsc") ? "the TSC does not stop" :
						     "");
	}
	free(cpuinfo);
}

void facts_read(struct fact_list *list, const struct source_setup *setup)
{
	*list = (struct fact_list){};
	read_sources(list, setup);
	read_kernel(list, setup);
	read_kvm(list, setup->sysfs);
	read_mitigations(list, setup->sysfs);
	read_machine(list, setup);
}
