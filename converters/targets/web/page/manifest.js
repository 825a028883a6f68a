// The types of the bundle's manifest, as edge_meta/runtime/manifest.py writes it.

/**
 * @typedef {object} ImageInput
 * @property {'image'} kind
 * @property {number} height
 * @property {number} width
 * @property {number} channels
 * @property {number} mean
 * @property {number} scale
 *
 * @typedef {object} AudioInput
 * @property {'audio'} kind
 * @property {number} samples
 * @property {number} sample_rate in Hz
 *
 * @typedef {object} ArrayInput
 * @property {'array'} kind
 * @property {number[]} shape
 * @property {string[]} [channels] names
 *
 * @typedef {ImageInput | AudioInput | ArrayInput} Input
 *
 * @typedef {object} Rejection the calibration of unknown
 * @property {number} false_accept
 * @property {number[]} labels
 * @property {number[]} rates
 * @property {[number, number]} shots
 * @property {[number[][], number[][]]} far
 * @property {number} spread
 * @property {number | null} [prior_labels]
 *
 * @typedef {object} Manifest
 * @property {string} encoder_id
 * @property {Record<string, string>} files SHA-256 by name
 * @property {Input} input
 * @property {{dim: number}} embedding
 * @property {{learning_rates: number[], learned?: boolean}} head
 * @property {Rejection | null} [rejection]
 * @property {{encoder_id: string, reach?: [number, number]}[]} [upgrades] encoders whose stores migrate to this one
 */

export {};
