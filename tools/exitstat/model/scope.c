// SPDX-License-Identifier: GPL-2.0
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/text.h"
#include "model/scope.h"

static const char *const names[] = {
	[SCOPE_HOST] = "host",
	[SCOPE_VM] = "vm",
	[SCOPE_VCPU] = "vcpu",
};

const char *scope_name(const struct exit_scope *scope)
{
	return names[scope->kind];
}

bool scope_parse_kind(const char *name, enum scope_kind *kind)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		if (!strcmp(name, names[i])) {
			*kind = i;
			return true;
		}
	}
	return false;
}

void scope_label(const struct exit_scope *scope, char *label)
{
	char vcpu[24] = "";

	if (scope->kind == SCOPE_VCPU)
		snprintf(vcpu, sizeof(vcpu), " vCPU %" PRIu32, scope->vcpu);
	snprintf(label, SCOPE_LABEL_SIZE, "%s%s%s%s%s",
		 scope->kind == SCOPE_HOST ? "host" :
		 *scope->vm		   ? "VM " :
					     "this VM",
		 scope->vm, *scope->name ? " " : "", scope->name, vcpu);
}

static bool is_digits(const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (!isdigit((unsigned char)text[i]))
			return false;
	}
	return len;
}

bool is_vm_id(const char *vm)
{
	const size_t pid = strcspn(vm, "-");
	const char *fd = vm + pid + 1, *again;

	if (strlen(vm) >= VM_ID_SIZE || !vm[pid] || !is_digits(vm, pid) ||
	    !is_digits(fd, strcspn(fd, "#")))
		return false;
	again = strchr(fd, '#');
	return !again || is_digits(again + 1, strlen(again + 1));
}

/* FNV-1a */
static uint32_t hash(const char *text, size_t len)
{
	uint32_t value = 2166136261;

	while (len--)
		value = (value ^ (unsigned char)*text++) * 16777619;
	return value;
}

void scope_set_name(char *name, const char *text, size_t len)
{
	char *shown = malloc(len + 1);
	size_t end;

	if (!shown) {
		*name = '\0';
		return;
	}
	text_printable(shown, len + 1, text, len);
	if (strlen(shown) < VM_NAME_SIZE) {
		strcpy(name, shown);
	} else {
		/* ~ and 8 digits; a character is not cut in two. */
		for (end = VM_NAME_SIZE - 10; (shown[end] & 0xc0) == 0x80;)
			end--;
		snprintf(name, VM_NAME_SIZE, "%.*s~%08" PRIx32, (int)end, shown,
			 hash(text, len));
	}
	free(shown);
}

int scope_cmp(const void *a, const void *b)
{
	const struct exit_scope *x = a, *y = b;
	int order;

	if ((x->kind == SCOPE_HOST) != (y->kind == SCOPE_HOST))
		return x->kind == SCOPE_HOST ? -1 : 1;
	order = strverscmp(x->vm, y->vm);
	if (order)
		return order;
	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return (x->vcpu > y->vcpu) - (x->vcpu < y->vcpu);
}

bool vm_is_same(const struct exit_scope *a, const struct exit_scope *b)
{
	/* A VM may outlive the process that made it, which is then unknown. */
	return !strcmp(a->vm, b->vm) && a->id[0] == b->id[0] &&
	       (a->id[1] == b->id[1] || !a->id[1] || !b->id[1]);
}

bool scope_is_same(const struct exit_scope *a, const struct exit_scope *b)
{
	return !scope_cmp(a, b) && vm_is_same(a, b);
}

/* As memdup(), and true of nothing. */
static bool copy_rows(void *copy, const void *rows, size_t nr, size_t size)
{
	void *new = NULL;

	if (nr) {
		new = malloc(nr * size);
		if (new)
			memcpy(new, rows, nr * size);
	}
	*(void **)copy = new;
	return new || !nr;
}

bool scope_copy(struct exit_scope *copy, const struct exit_scope *scope)
{
	bool ok;

	*copy = *scope;
	ok = copy_rows(&copy->snap.rows, scope->snap.rows, scope->snap.nr_rows,
		       sizeof(*scope->snap.rows));
	return copy_rows(&copy->latency.rows, scope->latency.rows,
			 scope->latency.nr_rows,
			 sizeof(*scope->latency.rows)) &&
	       ok;
}

void scope_copy_empty(struct exit_scope *copy, const struct exit_scope *scope)
{
	*copy = *scope;
	copy->latency = (struct exit_latency){};
	snapshot_clear(&copy->snap);
}

void scope_free(struct exit_scope *scope)
{
	snapshot_free(&scope->snap);
	latency_free(&scope->latency);
}
