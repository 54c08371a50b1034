/* SPDX-License-Identifier: Apache-2.0 */
/* quire/quire.h - all of Quire. Programs that need one floor only include that floor's header. */
#ifndef QUIRE_QUIRE_H
#define QUIRE_QUIRE_H

#include <quire/base.h>
#include <quire/channel.h>
#include <quire/features.h>
#include <quire/guard.h>
#include <quire/inspect.h>
#include <quire/map.h>
#include <quire/object.h>
#include <quire/pool.h>
#include <quire/region.h>

#endif
