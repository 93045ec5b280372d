// SPDX-License-Identifier: GPL-2.0
#include <fnmatch.h>
#include <string.h>

#include "source/select.h"

bool scope_matches(const struct exit_scope *scope, const char *pattern)
{
	size_t len = strlen(pattern);

	if (is_vm_id(pattern, true))
		return !strncmp(scope->vm, pattern, len) &&
		       (!scope->vm[len] || scope->vm[len] == '-');
	return !fnmatch(pattern, scope->vm, 0) ||
	       !fnmatch(pattern, scope->name, 0);
}

bool selection_has(const struct exit_selection *sel,
		   const struct exit_scope *scope)
{
	size_t i;

	if (scope->kind == SCOPE_HOST)
		return sel->host;
	if (scope->kind == SCOPE_VM ?
		    !sel->vms :
		    !sel->vcpus || (sel->vcpu >= 0 && sel->vcpu != scope->vcpu))
		return false;
	for (i = 0; i < sel->nr_vm_patterns; i++) {
		if (scope_matches(scope, sel->vm_patterns[i]))
			return true;
	}
	return !sel->nr_vm_patterns;
}

void selection_filter(const struct exit_selection *sel, struct exit_scan *scan)
{
	size_t i;

	for (i = 0; i < scan->nr_scopes; i++)
		snapshot_filter(&scan->scopes[i].snap, sel->reason_patterns,
				sel->nr_reason_patterns);
}
