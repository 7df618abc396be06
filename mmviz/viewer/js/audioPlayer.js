// Plays audio from memory: nothing is fetched, so that it plays in a file without a network.

/**
 * Plays 16-bit samples `wave` of `rate` hertz. `time` is in seconds. Calls `onMove(time)` in every animation frame
 * while it plays, and `onEnd()` at the end.
 */
export class AudioPlayer {
  constructor(wave, rate, onMove, onEnd) {
    Object.assign(this, { wave, rate, onMove, onEnd });
    this.seconds = wave.length / rate;
    this.offset = 0;
    this.source = null;
    this.isDestroyed = false;
  }

  get isPlaying() {
    return this.source !== null;
  }

  get time() {
    if (!this.source) return this.offset;
    return Math.min(this.seconds, this.offset + this.context.currentTime - this.startedAt);
  }

  async play() {
    if (!this.context) {
      this.context = new AudioContext();
      this.buffer = this.context.createBuffer(1, this.wave.length, this.rate);
      this.buffer.copyToChannel(
        Float32Array.from(this.wave, (value) => value / 32768),
        0,
      );
    }
    await this.context.resume();
    if (this.isDestroyed) return;
    if (this.offset >= this.seconds - 0.01) this.offset = 0;
    this.start();
  }

  start() {
    const source = this.context.createBufferSource();
    source.buffer = this.buffer;
    source.connect(this.context.destination);
    source.onended = () => {
      if (this.source !== source) return;
      this.source = null;
      this.offset = this.seconds;
      this.onEnd();
    };
    source.start(0, this.offset);
    this.source = source;
    this.startedAt = this.context.currentTime;
    const move = () => {
      if (this.source !== source) return;
      this.onMove(this.time);
      this.animationFrame = requestAnimationFrame(move);
    };
    this.animationFrame = requestAnimationFrame(move);
  }

  pause() {
    if (!this.source) return;
    this.offset = this.time;
    const source = this.source;
    this.source = null;
    source.stop();
    cancelAnimationFrame(this.animationFrame);
  }

  destroy() {
    this.isDestroyed = true;
    this.pause();
    this.context?.close();
  }
}
