/* SPDX-License-Identifier: Apache-2.0 */
#include <quire/quire.h>

const char *quire_version(void)
{
	return QUIRE_VERSION;
}
