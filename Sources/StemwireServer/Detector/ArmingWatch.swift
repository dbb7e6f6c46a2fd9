/// Finds out that a detector which was armed is so no more, though nobody told this server: aborted with the manufacturer's
/// software or by another control client, or armed by a request whose answer never came. I/O-free.
struct ArmingWatch {
    /// What is to be done.
    enum Verdict: Equatable {
        case nothing
        /// The detector waits no more, and no frame came.
        case isOver
        /// Somebody was told that arming has failed, and the detector may be armed all the same.
        case abort
    }

    /// Looks in a row, half a second apart, in which an armed detector says that it does nothing. Frames may still be on their way.
    private static let tellingLooks = 3
    private static let doubt = 4

    /// Whether this detector is known to say that it is busy while it is armed.
    private var tellsOfArming = false
    private var quietLooks = 0
    private var frames = 0
    /// Looks in which an unanswered arming may still take effect.
    private var doubtfulLooks = 0

    /// The detector has been armed, and what it says of itself thereafter.
    mutating func armed(isBusy: Bool) {
        tellsOfArming = tellsOfArming || isBusy
        (quietLooks, doubtfulLooks) = (0, 0)
    }

    /// An arming was asked for and not answered.
    mutating func armingUnanswered() { doubtfulLooks = Self.doubt }

    /// An acquisition was ended by request.
    mutating func ended() { (quietLooks, doubtfulLooks) = (0, 0) }

    /// The detector is another one, perhaps.
    mutating func lost() { quietLooks = 0 }

    /// - Parameters:
    ///   - isBusy: what the detector says.
    ///   - isArmed: whether it is armed, as far as this server knows.
    ///   - frames: frames received so far.
    mutating func look(isBusy: Bool, isArmed: Bool, frames: Int) -> Verdict {
        defer { self.frames = frames }
        if doubtfulLooks > 0 {
            // Frames that come are not thrown away, whoever wanted them.
            guard frames == self.frames else {
                doubtfulLooks = 0
                return .nothing
            }
            doubtfulLooks = isBusy ? 0 : doubtfulLooks - 1
            return isBusy ? .abort : .nothing
        }
        guard isArmed, !isBusy, frames == self.frames else {
            tellsOfArming = tellsOfArming || (isArmed && isBusy)
            quietLooks = 0
            return .nothing
        }
        quietLooks += 1
        guard tellsOfArming, quietLooks >= Self.tellingLooks else { return .nothing }
        quietLooks = 0
        return .isOver
    }
}
