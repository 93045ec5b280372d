// SPDX-License-Identifier: GPL-2.0
/* KVM shows its inhibits nowhere, so they are read where it keeps them. */
#include <apicv.skel.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "doctor/apicv_row.h"
#include "doctor/inhibits.h"

#define MAX_INHIBITS 64

struct reason {
	size_t nr_vms;
	char example[APICV_NAME];
};

/* What libbpf has to say is no news: another kernel keeps them elsewhere. */
static int keep_silent(enum libbpf_print_level level, const char *format,
		       va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

/* Read all rows.  False and nothing in *@rows if it cannot be done. */
static bool read_rows(struct apicv_row **rows, size_t *nr)
{
	struct apicv *skel = apicv__open_and_load();
	FILE *file = NULL;
	struct apicv_row row, *new;
	int fd = -1;
	bool done = false;

	*rows = NULL;
	*nr = 0;
	if (skel && !apicv__attach(skel))
		fd = bpf_iter_create(bpf_link__fd(skel->links.each_file));
	if (fd >= 0)
		file = fdopen(fd, "r");
	while (file && fread(&row, sizeof(row), 1, file)) {
		new = reallocarray(*rows, *nr + 1, sizeof(row));
		if (!new)
			break;
		*rows = new;
		row.name[sizeof(row.name) - 1] = '\0';
		new[(*nr)++] = row;
	}
	if (file) {
		done = feof(file) && !ferror(file);
		fclose(file);
	} else if (fd >= 0) {
		close(fd);
	}
	apicv__destroy(skel);
	if (!done) {
		free(*rows);
		*rows = NULL;
	}
	return done;
}

/* "HYPERV" of APICV_INHIBIT_REASON_HYPERV, as this kernel numbers them. */
static void put_reason(char *name, size_t size, const struct btf *btf,
		       unsigned int bit)
{
	static const char prefix[] = "APICV_INHIBIT_REASON_";
	const struct btf_type *type;
	const struct btf_enum *value;
	const char *found;
	int id, i;

	snprintf(name, size, "%u", bit);
	id = btf ? btf__find_by_name_kind(btf, "kvm_apicv_inhibit",
					  BTF_KIND_ENUM) :
		   -1;
	type = id > 0 ? btf__type_by_id(btf, id) : NULL;
	value = type ? btf_enum(type) : NULL;
	for (i = 0; type && i < btf_vlen(type); i++) {
		found = btf__name_by_offset(btf, value[i].name_off);
		if (value[i].val == (int)bit &&
		    !strncmp(found, prefix, sizeof(prefix) - 1))
			snprintf(name, size, "%s", found + sizeof(prefix) - 1);
	}
}

static void put_text(struct apicv_inhibits *inhibits,
		     const struct reason *reasons)
{
	struct btf *vmlinux = btf__load_vmlinux_btf();
	struct btf *kvm = btf__load_module_btf("kvm", vmlinux);
	char name[64], word[128];
	unsigned int bit;

	for (bit = 0; bit < MAX_INHIBITS; bit++) {
		if (!reasons[bit].nr_vms)
			continue;
		put_reason(name, sizeof(name), kvm ? kvm : vmlinux, bit);
		snprintf(word, sizeof(word), "%s (%zu%s%s)", name,
			 reasons[bit].nr_vms,
			 *reasons[bit].example ? ", as " : "",
			 reasons[bit].example);
		text_append(inhibits->text, sizeof(inhibits->text), ", ", word);
	}
	btf__free(kvm);
	btf__free(vmlinux);
}

static int compare_rows(const void *a, const void *b)
{
	const struct apicv_row *x = a, *y = b;

	return x->vm < y->vm ? -1 : x->vm > y->vm;
}

bool apicv_inhibits_read(struct apicv_inhibits *inhibits)
{
	const libbpf_print_fn_t before = libbpf_set_print(keep_silent);
	struct reason reasons[MAX_INHIBITS] = {};
	struct apicv_row *rows;
	unsigned int bit;
	size_t nr, i;
	const bool done = read_rows(&rows, &nr);

	*inhibits = (struct apicv_inhibits){};
	if (nr)
		qsort(rows, nr, sizeof(*rows), compare_rows);
	for (i = 0; done && i < nr; i++) {
		if (i && rows[i].vm == rows[i - 1].vm)
			continue;
		inhibits->nr_vms++;
		inhibits->nr_inhibited += rows[i].inhibits != 0;
		for (bit = 0; bit < MAX_INHIBITS; bit++) {
			if (!(rows[i].inhibits >> bit & 1))
				continue;
			if (!reasons[bit].nr_vms++)
				strcpy(reasons[bit].example, rows[i].name);
		}
	}
	if (inhibits->nr_inhibited)
		put_text(inhibits, reasons);
	free(rows);
	libbpf_set_print(before);
	return done;
}
