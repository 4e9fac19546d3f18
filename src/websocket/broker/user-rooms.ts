// In how many rooms each user is, within this process.

export class UserRooms {
  /** Connections by user and room; a user who is in no room is removed. */
  readonly #rooms = new Map<string, Map<string, number>>();

  /** Whether the user may join: it is in that room already, or in fewer than so many. */
  mayJoin(user: string, room: string, max: number | undefined): boolean {
    const rooms = this.#rooms.get(user);
    return max === undefined || rooms === undefined || rooms.has(room) || rooms.size < max;
  }

  join(user: string, room: string): void {
    const rooms = this.#rooms.get(user) ?? new Map<string, number>();
    this.#rooms.set(user, rooms);
    rooms.set(room, (rooms.get(room) ?? 0) + 1);
  }

  exit(user: string, room: string): void {
    const rooms = this.#rooms.get(user);
    const connections = rooms?.get(room);
    if (!rooms || connections === undefined) return;
    if (connections > 1) rooms.set(room, connections - 1);
    else rooms.delete(room);
    if (rooms.size === 0) this.#rooms.delete(user);
  }
}
