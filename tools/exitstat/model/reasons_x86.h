/* SPDX-License-Identifier: GPL-2.0 */
/* Exit reasons of Intel and AMD. */
#ifndef MODEL_REASONS_X86_H
#define MODEL_REASONS_X86_H

#include "model/reasons.h"

extern const struct reason_table vmx_reasons;
extern const struct reason_table svm_reasons;

#endif
