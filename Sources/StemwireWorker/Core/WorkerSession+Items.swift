import StemwireProtocol

// Plans, items and their results.

extension WorkerSession {
    // MARK: What the server sends

    mutating func received(_ plan: WireWorkPlan) {
        guard !isLeaving else { return }
        if let known = plans[plan.plan] {
            if let answer = known.answer { send { $0.planned = answer } }
            return
        }
        let serial = makeSerial()
        plans[plan.plan] = Plan(serial: serial, start: plan.start)
        actions.append(.prepare(plan: serial, plan))
    }

    mutating func received(_ work: WireWorkTile, payloads: [Int]) {
        let id = WorkItemID(work.item)
        // Of an item that failed already there may be more frames under way.
        guard !isLeaving, answers[id] == nil else { return }
        guard let plan = plans[id.plan] else {
            return fail(id, "the worker does not have plan \(id.plan)", isUDF: false)
        }
        if let failure = plan.failure { return fail(id, failure, isUDF: true) }
        guard payloads.count == 1 else {
            return fail(id, "frames come in one part, not in \(payloads.count)", isUDF: false)
        }
        guard work.tile.acquisition == plan.start.acquisition, work.tile.format == plan.start.format,
            work.tile.partition == id.partition
        else { return fail(id, "the frames are not those of the plan's acquisition or of the partition", isUDF: false) }
        guard items[id]?.isClosed != true else {
            return fail(id, "frames came after the partition was closed", isUDF: false)
        }
        let serial = begin(id, of: plan)
        items[id]?.frames += UInt64(work.tile.count)
        items[id]?.bytes += payloads[0]
        actions.append(.take(item: serial, work.tile))
    }

    mutating func received(_ closed: WireWorkClosed) {
        let id = WorkItemID(closed.item)
        guard !isLeaving, answers[id] == nil, items[id]?.isClosed != true else { return }
        guard let plan = plans[id.plan] else {
            return fail(id, "the worker does not have plan \(id.plan)", isUDF: false)
        }
        if let failure = plan.failure { return fail(id, failure, isUDF: true) }
        let here = items[id]?.frames ?? 0
        guard here == closed.frames else {
            return fail(id, "frames lost on the way: \(here) of \(closed.frames) came", isUDF: false)
        }
        let serial = begin(id, of: plan)
        items[id]?.isClosed = true
        actions.append(.close(item: serial))
    }

    mutating func acknowledged(_ id: WorkItemID) { answers[id] = nil }

    mutating func withdrawn(_ id: WorkItemID) {
        answers[id] = nil
        drop(id)
        send { $0.withdrew.item = id.wire }
    }

    /// The server wonders whether an item has come whole.
    mutating func received(_ ask: WireAsk) {
        let id = WorkItemID(ask.item)
        if let answer = answers[id] {
            actions.append(.send(answer.message, answer.output))
            return
        }
        let isWhole =
            items[id].map { $0.frames == ask.frames && $0.isClosed == ask.closed }
            ?? (ask.frames == 0 && !ask.closed && !isLeaving)
        if !isWhole { drop(id) }
        tellHolding(id, isWhole: isWhole)
    }

    mutating func tellHolding(_ id: WorkItemID, isWhole: Bool) {
        send {
            $0.holding.item = id.wire
            $0.holding.isWhole = isWhole
        }
    }

    mutating func planOver(_ number: UInt32) {
        for id in Array(items.keys) where id.plan == number { drop(id) }
        answers = answers.filter { $0.key.plan != number }
        guard let plan = plans.removeValue(forKey: number) else { return }
        actions.append(.forget(plan: plan.serial))
    }

    mutating func received(_ task: WireMergeTask) {
        guard !isLeaving else { return }
        let failure = plans[task.plan].map { $0.failure } ?? "the worker does not have plan \(task.plan)"
        guard let plan = plans[task.plan], failure == nil else {
            return send {
                $0.mergeTaskDone.task = task.task
                $0.mergeTaskDone.failure = failure ?? ""
            }
        }
        let serial = makeSerial()
        tasks.insert(serial)
        actions.append(.merge(task: serial, plan: plan.serial, task))
    }

    // MARK: What the compute threads report

    /// A plan is ready, or cannot be done here.
    mutating func planned(_ serial: Serial, _ answer: WirePlanned) {
        guard let number = plans.first(where: { $0.value.serial == serial })?.key else { return }
        plans[number]?.answer = answer
        plans[number]?.answer?.plan = number
        if let told = plans[number]?.answer { send { $0.planned = told } }
        guard let failure = plans[number]?.failure else { return }
        for id in Array(items.keys) where id.plan == number && items[id]?.epoch == epoch {
            drop(id)
            fail(id, failure, isUDF: true)
        }
    }

    /// An item is computed. One that was dropped meanwhile is not told.
    mutating func finished(_ serial: Serial, _ result: WireWorkResult, _ output: Output) {
        guard let id = itemIDs[serial] else { return }
        remove(id)
        var message = WireWorkMessage()
        message.result = result
        message.result.item = id.wire
        answer(id, message, output)
        tellCredit()
        goIfDone()
    }

    /// An item failed. The rest of its frames is not wanted.
    ///
    /// - Parameter isUDF: whether the UDF itself failed, so that another worker will hardly do better.
    mutating func failed(_ serial: Serial, udf: String, _ why: String, isUDF: Bool) {
        guard let id = itemIDs[serial] else { return }
        remove(id)
        fail(id, why, udf: udf, isUDF: isUDF)
        tellCredit()
        goIfDone()
    }

    mutating func merged(_ serial: Serial, _ done: WireMergeTaskDone, _ output: Output?) {
        guard tasks.remove(serial) != nil, isReady else { return }
        var message = WireWorkMessage()
        message.mergeTaskDone = done
        actions.append(.send(message, output))
    }

    // MARK: Details

    private mutating func begin(_ id: WorkItemID, of plan: Plan) -> Serial {
        if let item = items[id] { return item.serial }
        let serial = makeSerial()
        items[id] = Item(serial: serial, epoch: epoch)
        itemIDs[serial] = id
        actions.append(.begin(item: serial, id, plan: plan.serial))
        return serial
    }

    /// Lets go of an item that nobody wants any more.
    mutating func drop(_ id: WorkItemID) {
        guard let item = items[id] else { return }
        actions.append(.drop(item: item.serial))
        remove(id)
    }

    private mutating func remove(_ id: WorkItemID) {
        guard let item = items.removeValue(forKey: id) else { return }
        itemIDs[item.serial] = nil
    }

    /// What the server may have this worker hold: all that it can, but for what it holds of connections before, of which
    /// the server does not know.
    var window: WorkerCapacity {
        guard !isLeaving else { return WorkerCapacity(items: 0, bytes: 0) }
        var window = settings.capacity
        for item in items.values where item.epoch != epoch {
            window.items -= 1
            window.bytes -= item.bytes
        }
        return WorkerCapacity(items: max(0, window.items), bytes: max(0, window.bytes))
    }

    /// Tells the window when it has changed.
    mutating func tellCredit() {
        guard isReady, window != creditTold else { return }
        creditTold = window
        let credit = WireCredit(creditTold)
        send { $0.credit = credit }
    }

    private mutating func fail(_ id: WorkItemID, _ why: String, udf: String = "", isUDF: Bool) {
        drop(id)
        var message = WireWorkMessage()
        message.failed.item = id.wire
        message.failed.udf = udf
        message.failed.message = why
        message.failed.udfError = isUDF
        answer(id, message, nil)
    }

    private mutating func answer(_ id: WorkItemID, _ message: WireWorkMessage, _ output: Output?) {
        answers[id] = Answer(number: makeSerial(), message: message, output: output)
        if isReady { actions.append(.send(message, output)) }
    }

    private mutating func send(_ fill: (inout WireWorkMessage) -> Void) {
        guard isReady else { return }
        var message = WireWorkMessage()
        fill(&message)
        actions.append(.send(message, nil))
    }
}
