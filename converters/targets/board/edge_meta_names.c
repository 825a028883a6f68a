/* The names of statuses: a program that never asks for them does without this file. */
#include "edge_meta_internal.h"

const char* em_status_name(em_status status) {
  static const char names[] = /* one after the other */
      "EM_OK\0EM_BAD_ARGUMENT\0EM_NO_CLASSES\0EM_NO_SUCH_CLASS\0EM_CLASSES_FULL\0EM_SHOTS_FULL\0EM_LABEL_EMPTY\0"
      "EM_LABEL_TOO_LONG\0EM_LABEL_NOT_UTF8\0EM_LABEL_TAKEN\0EM_NOT_FINITE\0EM_NOTHING_TO_UNDO\0EM_FEW_CLASSES\0"
      "EM_WRONG_MODEL\0EM_CORRUPT_FLASH\0EM_FLASH_FULL\0EM_FLASH_FAILED\0EM_NONE_FULL";
  const char* name = names;
  for (uint32_t left = (uint32_t)status; left > 0u && name < &names[sizeof names - 1u]; ++name) left -= *name == '\0';
  return name;
}
