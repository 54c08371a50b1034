/* SPDX-License-Identifier: Apache-2.0 */
#include "base/lock.h"

struct lock_class lock_checkpoint;
struct lock_class lock_region;
struct lock_class lock_quire;
struct lock_class lock_as;
struct lock_class lock_object;
struct lock_class lock_pool;
