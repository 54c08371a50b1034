/* SPDX-License-Identifier: Apache-2.0 */
/* The invariants of vm's lists, at a moment when nothing moves. */
#ifndef VM_CHECK_H
#define VM_CHECK_H

#include "vm/as.h"
#include "vm/policy.h"
#include "vm/pool.h"

void as_check(struct as *as);                                        /* A1 */
void policy_check(const struct policy *policy) must_hold(lock_pool); /* Q1 */
void pool_check(struct pool *pool);                                  /* F1, F2 and Q1 */

#endif
