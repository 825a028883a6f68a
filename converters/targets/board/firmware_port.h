/* What firmware.cc needs of a board. */
#ifndef EDGE_META_FIRMWARE_PORT_H_
#define EDGE_META_FIRMWARE_PORT_H_

#include "edge_meta_flash.h"

#ifdef __cplusplus
extern "C" {
#endif

void PortBegin(void);               /* starts the clock and the serial line */
char PortRead(void);                /* waits for a character of the serial line */
void PortWrite(char character);     /* writes one */
const uint8_t* PortRandom(void);    /* 16 random bytes */
const em_flash_device* PortFlash(void);

#ifdef __cplusplus
}
#endif

#endif /* EDGE_META_FIRMWARE_PORT_H_ */
