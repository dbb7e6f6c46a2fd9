/// What a subscription of results hears of.
///
/// Of each acquisition: ``started(_:)`` (unless it was lost and an update came first), updates, and ``ended(_:)`` last, behind
/// the final update of every channel.
public enum ResultEvent: Sendable {
    case started(AcquisitionStart)
    /// The newest state of a channel. States in between are left out when the consumer is slower than the updates.
    case update(ChannelUpdate)
    case ended(AcquisitionEnd)
}
